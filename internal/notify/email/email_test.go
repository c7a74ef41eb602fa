package email_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"avalo.app/gantry/internal/incident"
	"avalo.app/gantry/internal/incident/incidenttest"
	"avalo.app/gantry/internal/notify/email"
)

const password = "sm7p-p4ssword"

// server is a mail server. answer, if set, is asked for its answer to a verb
// ("MAIL", "." for the end of the data); "" means as usual, "drop" closes.
type server struct {
	net.Listener
	conf     *tls.Config
	implicit bool
	starttls bool

	mu     sync.Mutex
	answer func(verb string) string
	mails  []string
	rcpts  []string
	log    []string // verbs, "TLS" where the connection became one
}

func serve(t *testing.T, implicit, starttls bool) (*server, *tls.Config) {
	t.Helper()
	h := httptest.NewTLSServer(nil) // for its certificate, which is for 127.0.0.1
	pool := x509.NewCertPool()
	pool.AddCert(h.Certificate())
	s := &server{conf: &tls.Config{Certificates: h.TLS.Certificates}, implicit: implicit, starttls: starttls}
	h.Close()
	var err error
	if s.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := s.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				s.talk(c)
			})
		}
	})
	t.Cleanup(func() {
		_ = s.Close()
		all.Wait()
	})
	return s, &tls.Config{RootCAs: pool}
}

func (s *server) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, what)
}

func (s *server) talk(c net.Conn) {
	secure := s.implicit
	if s.implicit {
		c = tls.Server(c, s.conf)
	}
	r := bufio.NewReader(c)
	say := func(verb, usual string) bool {
		line := usual
		s.mu.Lock()
		answer := s.answer
		s.mu.Unlock()
		if answer != nil {
			if a := answer(verb); a != "" {
				line = a
			}
		}
		if line == "drop" {
			return false
		}
		if line == "hang" {
			_, _ = io.Copy(io.Discard, c) // until the client goes
			return false
		}
		_, err := io.WriteString(c, line+"\r\n")
		return err == nil
	}
	if !say("", "220 test") {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		s.note(verb)
		usual := "250 ok"
		switch verb {
		case "EHLO":
			usual = "250-test\r\n250 8BITMIME"
			if secure {
				usual = "250-test\r\n250-8BITMIME\r\n250 AUTH PLAIN"
			} else if s.starttls {
				usual = "250-test\r\n250 STARTTLS"
			}
		case "STARTTLS":
			if !say(verb, "220 go") {
				return
			}
			c = tls.Server(c, s.conf)
			r, secure = bufio.NewReader(c), true
			s.note("TLS")
			continue
		case "AUTH":
			usual = "235 ok"
			if rest != "PLAIN AGdhbnRyeQBzbTdwLXA0c3N3b3Jk" || !secure {
				usual = "535 no"
			}
		case "RCPT":
			s.mu.Lock()
			s.rcpts = append(s.rcpts, rest)
			s.mu.Unlock()
		case "DATA":
			if !say(verb, "354 go") {
				return
			}
			var b strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(line, "."))
			}
			s.mu.Lock()
			s.mails = append(s.mails, b.String())
			s.mu.Unlock()
			verb = "."
		case "QUIT":
			say(verb, "221 bye")
			return
		}
		if !say(verb, usual) {
			return
		}
	}
}

func receiver(t *testing.T, s *server, sec email.Security, conf *tls.Config) *email.Receiver {
	t.Helper()
	host, port, err := net.SplitHostPort(s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	o := email.Options{Host: host, Port: port, Security: sec, From: "Gantry <gantry@example.com>", To: []string{"Ops <ops@example.com>", "lead@example.com"},
		TLS: conf, Now: func() time.Time { return incidenttest.Start() }}
	if sec != email.None {
		o.Username, o.Password = "gantry", password
	}
	r, err := email.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDeliver(t *testing.T) {
	for name, tt := range map[string]struct {
		sec      email.Security
		implicit bool
		starttls bool
		want     []string
	}{
		"starttls":     {email.StartTLS, false, true, []string{"EHLO", "STARTTLS", "TLS", "EHLO", "AUTH", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"}},
		"implicit tls": {email.Implicit, true, false, []string{"EHLO", "AUTH", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"}},
		"a relay":      {email.None, false, false, []string{"EHLO", "MAIL", "RCPT", "RCPT", "DATA", "QUIT"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, conf := serve(t, tt.implicit, tt.starttls)
			m := incidenttest.Sample(incident.Trigger)
			m.Summary = "żółw\r\nBcc: eve@example.com\r\n.\r\n" + m.Summary
			a, err := receiver(t, s, tt.sec, conf).Deliver(t.Context(), m)
			if err != nil || a.Text == "" {
				t.Fatal(a, err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if d := cmp.Diff(tt.want, s.log); d != "" {
				t.Errorf("talk: %s", d)
			}
			if d := cmp.Diff([]string{"TO:<ops@example.com>", "TO:<lead@example.com>"}, s.rcpts); d != "" {
				t.Errorf("recipients: %s", d)
			}
			checkMail(t, s.mails[0], m)
		})
	}
}

func checkMail(t *testing.T, text string, m incident.Message) {
	t.Helper()
	got, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || !strings.HasPrefix(subject, "[test] P0: żółw") || len([]rune(subject)) > 140 {
		t.Errorf("subject %q %v", subject, err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(got.Body))
	if err != nil || !strings.Contains(string(body), m.Incident) || !strings.Contains(string(body), m.Link) {
		t.Errorf("body %q %v", body, err)
	}
	if got.Header.Get("Bcc") != "" || got.Header.Get("Message-Id") != "<"+m.Delivery+"@example.com>" || got.Header.Get("References") != "<"+m.DedupKey+"@example.com>" {
		t.Errorf("headers %v", got.Header)
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		if len(line) > 998 || strings.Contains(line, "\n") {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		at, answer string
		permanent  bool
	}{
		"busy":                 {"", "421 later", false},
		"greylisted":           {"RCPT", "451 4.7.1 try again", false},
		"no such mailbox":      {"RCPT", "550 5.1.1 <ops@example.com>: unknown", true},
		"too large":            {".", "552 too large", true},
		"full":                 {".", "452 full", false},
		"wrong password":       {"AUTH", "535 5.7.8 sm7p-p4ssword is wrong", true},
		"dropped":              {"DATA", "drop", false},
		"dropped after accept": {".", "drop", false},
		"it hangs":             {"MAIL", "hang", false},
	} {
		t.Run(name, func(t *testing.T) {
			s, conf := serve(t, false, true)
			s.mu.Lock()
			s.answer = func(verb string) string {
				if verb == tt.at {
					return tt.answer
				}
				return ""
			}
			s.mu.Unlock()
			ctx := t.Context()
			if tt.answer == "hang" {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
				defer cancel()
			}
			_, err := receiver(t, s, email.StartTLS, conf).Deliver(ctx, incidenttest.Sample(incident.Trigger))
			var d *incident.DeliveryError
			if !errors.As(err, &d) || d.Permanent != tt.permanent {
				t.Fatalf("%#v", err)
			}
			if strings.Contains(err.Error(), "ops@example.com") || strings.Contains(err.Error(), password) {
				t.Errorf("it tells %q", err)
			}
		})
	}
}

// TestOneBadRecipient: the others get the mail, once, and the answer says how
// many did.
func TestOneBadRecipient(t *testing.T) {
	s, conf := serve(t, false, true)
	asked := 0
	s.mu.Lock()
	s.answer = func(verb string) string {
		if verb == "RCPT" {
			if asked++; asked == 1 {
				return "550 5.1.1 unknown"
			}
		}
		return ""
	}
	s.mu.Unlock()
	a, err := receiver(t, s, email.StartTLS, conf).Deliver(t.Context(), incidenttest.Sample(incident.Trigger))
	if err != nil || a.Text != "accepted by the mail server for 1 of 2 recipients" {
		t.Errorf("%q: %v", a.Text, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mails) != 1 {
		t.Errorf("%d mails", len(s.mails))
	}
}

// TestNoPasswordInTheClear: a server that offers no encryption, or one that
// proves another name, gets neither mail nor password.
func TestNoPasswordInTheClear(t *testing.T) {
	s, conf := serve(t, false, false)
	_, err := receiver(t, s, email.StartTLS, conf).Deliver(t.Context(), incidenttest.Sample(incident.Trigger))
	var d *incident.DeliveryError
	if !errors.As(err, &d) || !d.Permanent || !strings.Contains(d.Text, "STARTTLS") {
		t.Errorf("without STARTTLS: %v", err)
	}
	stranger, _ := serve(t, false, true)
	if _, err := receiver(t, stranger, email.StartTLS, &tls.Config{RootCAs: x509.NewCertPool()}).Deliver(t.Context(), incidenttest.Sample(incident.Trigger)); err == nil {
		t.Error("a stranger's certificate is taken")
	}
	for _, s := range []*server{s, stranger} {
		s.mu.Lock()
		if log := fmt.Sprint(s.log); strings.Contains(log, "AUTH") || strings.Contains(log, "MAIL") {
			t.Errorf("talk: %s", log)
		}
		s.mu.Unlock()
	}
}

// TestThread: mails about one incident have ids of their own, and one thread.
func TestThread(t *testing.T) {
	s, _ := serve(t, false, false)
	r := receiver(t, s, email.None, nil)
	actions := []incident.Action{incident.Trigger, incident.UpdateAlert, incident.Acknowledge, incident.Resolve}
	for n, a := range actions {
		m := incidenttest.Sample(a)
		m.Delivery = fmt.Sprint("d", n)
		if _, err := r.Deliver(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	threads, ids := map[string]bool{}, map[string]bool{}
	for n, text := range s.mails {
		m, err := mail.ReadMessage(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		threads[m.Header.Get("References")], ids[m.Header.Get("Message-Id")] = true, true
		if subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil || n > 0 && !strings.Contains(subject, string(actions[n])) {
			t.Errorf("%s: subject %q, %v", actions[n], subject, err)
		}
	}
	if len(threads) != 1 || len(ids) != len(actions) {
		t.Errorf("threads %v, ids %v", threads, ids)
	}
}

func TestNewRefuses(t *testing.T) {
	good := email.Options{Host: "mail.example", Port: "587", Security: email.StartTLS, From: "a@example.com", To: []string{"b@example.com"}}
	if _, err := email.New(good); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*email.Options){
		"a sender":                 func(o *email.Options) { o.From = "nobody" },
		"a recipient":              func(o *email.Options) { o.To = []string{"x\r\nRCPT"} },
		"no recipient":             func(o *email.Options) { o.To = nil },
		"a security":               func(o *email.Options) { o.Security = "ssl" },
		"a password in the clear ": func(o *email.Options) { o.Security, o.Password = email.None, password },
	} {
		o := good
		change(&o)
		if _, err := email.New(o); err == nil || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
