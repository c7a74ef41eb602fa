// Package email delivers messages by SMTP.
package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"strings"
	"time"

	"avalo.app/gantry/internal/egress"
	"avalo.app/gantry/internal/fault"
	"avalo.app/gantry/internal/incident"
)

// Security says how the connection is encrypted.
type Security string

// The kinds of encryption.
const (
	StartTLS Security = "starttls" // port 587; a server without STARTTLS is refused
	Implicit Security = "tls"      // port 465
	None     Security = "none"     // for a relay on this machine; no password is ever sent
)

// Options say by which server and to whom.
type Options struct {
	Host, Port         string
	Security           Security
	Username, Password string // no authentication if empty
	From               string
	To                 []string
	Hello              string      // this machine's name, or ""
	TLS                *tls.Config // nil means the system's roots
	Egress             egress.Options
	Now                func() time.Time // nil means time.Now
}

// Receiver is an incident.Receiver.
type Receiver struct {
	o    Options
	from *mail.Address
	to   []*mail.Address
}

var _ incident.Receiver = (*Receiver)(nil)

// New returns a receiver, or INVALID_ARGUMENT for addresses that are none or a
// password that would be sent in the clear.
func New(o Options) (*Receiver, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Receiver{o: o}
	var err error
	if r.from, err = mail.ParseAddress(o.From); err != nil {
		return nil, fault.New(fault.InvalidArgument, "email.New", "the sender is not an e-mail address")
	}
	for _, to := range o.To {
		a, err := mail.ParseAddress(to)
		if err != nil {
			return nil, fault.New(fault.InvalidArgument, "email.New", "a recipient is not an e-mail address")
		}
		r.to = append(r.to, a)
	}
	if len(r.to) == 0 {
		return nil, fault.New(fault.InvalidArgument, "email.New", "name at least one recipient")
	}
	switch o.Security {
	case StartTLS, Implicit:
	case None:
		if o.Password != "" {
			return nil, fault.New(fault.InvalidArgument, "email.New", "a password needs an encrypted connection: set the security to starttls or tls")
		}
	default:
		return nil, fault.New(fault.InvalidArgument, "email.New", "the security must be starttls, tls or none, not %q", o.Security)
	}
	return r, nil
}

// Deliver implements incident.Receiver. Messages of one incident are one
// thread. A server that refuses for now (4xx) is tried again, one that
// refuses (5xx) is not.
func (r *Receiver) Deliver(ctx context.Context, m incident.Message) (incident.Answer, error) {
	conn, err := egress.Dial(ctx, r.o.Egress, r.o.Host, r.o.Port)
	if err != nil {
		return incident.Answer{}, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	accepted, err := r.talk(ctx, conn, r.text(m))
	switch {
	case err == nil && accepted == len(r.to):
		return incident.Answer{Text: "accepted by the mail server"}, nil
	case err == nil:
		return incident.Answer{Text: fmt.Sprintf("accepted by the mail server for %d of %d recipients", accepted, len(r.to))}, nil
	}
	if ctx.Err() != nil {
		return incident.Answer{}, &incident.DeliveryError{Text: "no answer of the mail server in time"}
	}
	return incident.Answer{}, r.judge(err)
}

// judge keeps the code of a server's refusal, and of its text what holds
// neither an address nor the password.
func (r *Receiver) judge(err error) error {
	var t *textproto.Error
	if errors.As(err, &t) {
		msg := t.Msg
		if r.o.Password != "" {
			msg = strings.ReplaceAll(msg, r.o.Password, "[removed]")
		}
		return &incident.DeliveryError{Permanent: t.Code >= 500, Text: incident.Clean(fmt.Sprintf("SMTP %d %s", t.Code, msg))}
	}
	var d *incident.DeliveryError
	if errors.As(err, &d) {
		return d
	}
	return &incident.DeliveryError{Text: incident.Clean(err.Error())}
}

// talk sends the mail, and returns for how many recipients it was accepted.
func (r *Receiver) talk(ctx context.Context, conn net.Conn, text []byte) (int, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.o.TLS != nil {
		conf = r.o.TLS.Clone()
	}
	conf.ServerName = r.o.Host
	if r.o.Security == Implicit {
		secure := tls.Client(conn, conf)
		if err := secure.HandshakeContext(ctx); err != nil {
			return 0, err
		}
		conn = secure
	}
	c, err := smtp.NewClient(conn, r.o.Host)
	if err != nil {
		return 0, err
	}
	if r.o.Hello != "" {
		if err := c.Hello(r.o.Hello); err != nil {
			return 0, err
		}
	}
	if r.o.Security == StartTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return 0, &incident.DeliveryError{Permanent: true, Text: "the mail server offers no STARTTLS: use its port for implicit TLS, with security tls"}
		}
		if err := c.StartTLS(conf); err != nil {
			return 0, err
		}
	}
	if r.o.Password != "" {
		if err := c.Auth(smtp.PlainAuth("", r.o.Username, r.o.Password, r.o.Host)); err != nil {
			return 0, err
		}
	}
	return r.send(c, text)
}

// send tells everybody who can be told: one bad address keeps nothing from the
// others, and none is mailed twice for it.
func (r *Receiver) send(c *smtp.Client, text []byte) (accepted int, err error) {
	if err := c.Mail(r.from.Address); err != nil {
		return 0, err
	}
	var refused error
	for _, to := range r.to {
		err := c.Rcpt(to.Address)
		var answer *textproto.Error
		switch {
		case err == nil:
			accepted++
		case !errors.As(err, &answer): // the connection
			return 0, err
		case refused == nil || answer.Code < 500: // one that may be tried again says more
			refused = err
		}
	}
	if accepted == 0 {
		return 0, refused
	}
	w, err := c.Data()
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(text); err != nil {
		return 0, err
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	_ = c.Quit() // it was accepted; how the server takes its leave changes nothing
	return accepted, nil
}

// text is the whole mail. Header values are encoded, so that no text from
// outside can add a line.
func (r *Receiver) text(m incident.Message) []byte {
	var b strings.Builder
	header := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	_, domain, _ := strings.Cut(r.from.Address, "@")
	header("From", r.from.String())
	var to []string
	for _, a := range r.to {
		to = append(to, a.String())
	}
	header("To", strings.Join(to, ", "))
	header("Date", r.o.Now().UTC().Format(time.RFC1123Z))
	header("Message-ID", "<"+m.Delivery+"@"+domain+">")
	header("References", "<"+m.DedupKey+"@"+domain+">")
	header("Subject", mime.QEncoding.Encode("utf-8", subject(m)))
	header("Auto-Submitted", "auto-generated")
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "quoted-printable")
	b.WriteString("\r\n")
	q := quotedprintable.NewWriter(&b)
	_, _ = fmt.Fprintf(q, "%s\r\n\r\nIncident: %s\r\nClass: %s\r\nObject: %s\r\nRules: %s\r\nOpened: %s\r\nFrom: %s\r\n%s\r\n",
		m.Summary, m.Incident, m.Class, m.Object, strings.Join(m.Rules, ", "), m.OpenedAt.UTC().Format(time.RFC3339), m.Source, m.Link) // a strings.Builder takes everything
	_ = q.Close()
	return []byte(b.String())
}

// subject is short enough for every mail program.
func subject(m incident.Message) string {
	s := []rune(m.Summary)
	if len(s) > 120 {
		s = append(s[:119], '…')
	}
	switch m.Action {
	case incident.Heartbeat:
		return "[" + m.Source + "] " + string(s)
	case incident.Acknowledge, incident.Resolve, incident.UpdateAlert, incident.Repeat:
		return "[" + m.Source + "] " + string(m.Class) + " " + string(m.Action) + ": " + string(s)
	}
	return "[" + m.Source + "] " + string(m.Class) + ": " + string(s)
}
