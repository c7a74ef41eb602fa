package dns_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"avalo.app/gantry/internal/probe/dns"
	"avalo.app/gantry/internal/probe/probetest"
)

// Types of records.
const (
	a     = 1
	cname = 5
	mx    = 15
	txt   = 16
)

// zone is a DNS server on UDP: records by type, the same for every name.
type zone struct {
	addr    string
	records map[uint16][][]byte
	reached chan struct{}

	mu   sync.Mutex
	conn net.PacketConn
}

func newZone(t *testing.T) *zone {
	t.Helper()
	z := &zone{addr: "127.0.0.1:0", reached: make(chan struct{}, 1), records: map[uint16][][]byte{
		a:     {{192, 0, 2, 1}, {192, 0, 2, 2}},
		cname: {{5, 'a', 'l', 'i', 'a', 's', 4, 't', 'e', 's', 't', 0}},
		mx:    {{0, 10, 4, 'm', 'a', 'i', 'l', 4, 't', 'e', 's', 't', 0}},
		txt:   {append([]byte{byte(len(probetest.Secret))}, probetest.Secret...)},
	}}
	z.Set(t, probetest.Healthy)
	t.Cleanup(func() { z.Set(t, probetest.Refusing) })
	return z
}

// Set implements probetest.Dependency.
func (z *zone) Set(t testing.TB, m probetest.Mode) {
	t.Helper()
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.conn != nil {
		_ = z.conn.Close()
		z.conn = nil
	}
	select {
	case <-z.reached:
	default:
	}
	if m == probetest.Refusing {
		return
	}
	c, err := net.ListenPacket("udp", z.addr)
	if err != nil {
		t.Fatal(err)
	}
	z.conn, z.addr = c, c.LocalAddr().String()
	go z.serve(c, m)
}

func (z *zone) serve(c net.PacketConn, m probetest.Mode) {
	buf := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		select {
		case z.reached <- struct{}{}:
		default:
		}
		switch m {
		case probetest.Healthy:
			_, _ = c.WriteTo(z.answer(buf[:n]), from)
		case probetest.Garbage: // the question is right, the answers are not
			head := z.answer(buf[:n])
			head = head[:12+bytes.IndexByte(head[12:], 0)+5]
			head[7] = 9
			_, _ = c.WriteTo(append(head, probetest.Secret...), from)
		}
	}
}

// answer answers one question (RFC 1035, section 4).
func (z *zone) answer(q []byte) []byte {
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5
	kind := binary.BigEndian.Uint16(q[end-4:])
	if kind == a && q[13] == 'w' { // an alias, and where it leads
		target := z.records[cname][0]
		out := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0}, q[12:end]...)
		out = append(append(out, 0xc0, 12, 0, cname, 0, 1, 0, 0, 0, 0, 0, byte(len(target))), target...)
		return append(append(out, target...), 0, a, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1)
	}
	records := z.records[kind]
	if kind == cname && q[13] != 'w' { // no alias: the resolver asks for one beside the addresses
		records = nil
	}
	out := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, byte(len(records)), 0, 0, 0, 0}, q[12:end]...)
	for _, r := range records {
		out = append(out, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(r)))
		out = append(out, r...)
	}
	return out
}

// Reached implements probetest.Dependency.
func (z *zone) Reached() <-chan struct{} { return z.reached }

// Open implements probetest.Dependency: sockets that are connected to the zone.
func (z *zone) Open() int {
	b, err := os.ReadFile("/proc/self/net/udp")
	if err != nil {
		return -1
	}
	var port int
	_, _ = fmt.Sscanf(z.addr, "127.0.0.1:%d", &port)
	return strings.Count(string(b), fmt.Sprintf(" 0100007F:%04X 01 ", port))
}

func TestConformance(t *testing.T) {
	z := newZone(t)
	p, err := dns.New(dns.Config{Name: "app.test", Type: "TXT", Want: []string{probetest.Secret}, Server: z.addr})
	if err != nil {
		t.Fatal(err)
	}
	probetest.Run(t, probetest.Kind{Prober: p, Dependency: z, Modes: []probetest.Mode{probetest.Refusing, probetest.Hanging, probetest.Garbage}})
}

func TestRecords(t *testing.T) {
	z := newZone(t)
	for _, tt := range []struct {
		kind string
		want []string
		err  string
	}{ // of www.test if a CNAME is asked for, else of app.test
		{"", nil, ""},
		{"A", []string{"192.0.2.2"}, ""},
		{"A", []string{"192.0.2.2", "192.0.2.1"}, ""},
		{"A", []string{"192.0.2.3", "192.0.2.1"}, "1 of the 2 wanted records of type A are missing, 1 others are there"},
		{"AAAA", nil, "does not resolve"},
		{"CNAME", []string{"ALIAS.test."}, ""},
		{"CNAME", []string{"other.test"}, "1 of the 1 wanted records"},
		{"CNAME", nil, "no record"},
		{"MX", []string{"mail.test"}, ""},
		{"NS", nil, "resol"},
		{"TXT", []string{probetest.Secret + "x"}, "1 of the 1 wanted records"},
	} {
		name := "app.test."
		if tt.kind == "CNAME" && tt.err != "no record" {
			name = "www.test"
		}
		p, err := dns.New(dns.Config{Name: name, Type: tt.kind, Want: tt.want, Server: z.addr})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Probe(t.Context())
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), probetest.Secret)) {
			t.Errorf("%s %v: %v, want %q", tt.kind, tt.want, err, tt.err)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []dns.Config{
		{}, {Name: "."}, {Name: "u:" + probetest.Secret + "@host"}, {Name: strings.Repeat("a", 254)}, {Name: "a", Type: probetest.Secret},
		{Name: "a", Want: []string{"::1"}}, {Name: "a", Type: "AAAA", Want: []string{probetest.Secret}}, {Name: "a", Server: probetest.Secret},
	} {
		if _, err := dns.New(cfg); err == nil || strings.Contains(err.Error(), probetest.Secret) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
