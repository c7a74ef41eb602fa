package walk

import (
	"bytes"
	"encoding/binary"
	"io"
)

// GIF block labels (GIF89a, appendix A).
const (
	gifExtension   = 0x21
	gifImage       = 0x2C
	gifEnd         = 0x3B
	gifPlainText   = 0x01
	gifControl     = 0xF9
	gifComment     = 0xFE
	gifApplication = 0xFF
)

// GIFWalk walks a GIF (87a or 89a) and what follows its end. Codes after the
// last pixel of a frame are not told apart: that takes decoding.
func GIFWalk(in *Input) (Info, error) {
	g := &gifFile{in: in}
	if err := g.screen(); err != nil {
		return Info{}, err
	}
	for {
		if err := in.Step(); err != nil {
			return Info{}, err
		}
		more, err := g.block()
		if err != nil {
			return Info{}, err
		}
		if !more {
			break
		}
	}
	if g.frames == 0 {
		return Info{}, in.Corrupt("a GIF without a frame")
	}
	if err := in.trimTail(); err != nil {
		return Info{}, err
	}
	return Info{Format: GIF, MIME: "image/gif", Width: g.width, Height: g.height, Frames: g.frames, Parts: in.Parts()}, nil
}

type gifFile struct {
	in            *Input
	width, height int64
	frames        int64
	control       []byte // the control extension for the next frame, while it is held back
	controlled    bool   // the next frame has one
	loop          []byte // the loop extension that was written last
}

// gifTable is the size of a colour table by the flags of what precedes it.
func gifTable(flags byte) int64 {
	if flags&0x80 == 0 {
		return 0
	}
	return 3 << (flags&7 + 1)
}

// screen consumes what precedes the first block.
func (g *gifFile) screen() error {
	b, err := g.in.Need(13)
	if err != nil {
		return err
	}
	if v := string(b[:6]); v != "GIF87a" && v != "GIF89a" {
		return g.in.Corrupt("no GIF: the signature is missing")
	}
	g.width, g.height = int64(binary.LittleEndian.Uint16(b[6:])), int64(binary.LittleEndian.Uint16(b[8:]))
	if err := g.in.Picture(g.width, g.height); err != nil {
		return err
	}
	return g.in.Keep(13 + gifTable(b[10]))
}

// block consumes a frame, an extension or the end.
func (g *gifFile) block() (more bool, err error) {
	b, err := g.in.Need(1)
	if err != nil {
		return false, err
	}
	switch b[0] {
	case gifEnd:
		return false, g.in.Keep(1)
	case gifImage:
		return true, g.frame()
	case gifExtension:
		return true, g.extension()
	}
	return false, g.in.Corrupt("a block of type 0x%02X", b[0])
}

func (g *gifFile) frame() error {
	in := g.in
	b, err := in.Need(10)
	if err != nil {
		return err
	}
	n := func(i int) int64 { return int64(binary.LittleEndian.Uint16(b[i:])) }
	x, y, w, h, table := n(1), n(3), n(5), n(7), gifTable(b[9])
	if err := in.Picture(w, h); err != nil {
		return err
	}
	if x+w > g.width || y+h > g.height {
		return in.Corrupt("a frame of %d x %d at %d, %d on a canvas of %d x %d", w, h, x, y, g.width, g.height)
	}
	g.frames++
	if err := in.Animation(g.frames, g.width, g.height); err != nil {
		return err
	}
	if err := in.Emit(g.control); err != nil {
		return err
	}
	g.control, g.controlled = nil, false
	if err := in.Keep(10 + table); err != nil {
		return err
	}
	if b, err = in.Need(2); err != nil {
		return err
	}
	if b[0] < 2 || b[0] > 8 || b[1] == 0 {
		return in.Corrupt("a frame of codes of %d bits, or none", b[0])
	}
	if err := in.Keep(1); err != nil {
		return err
	}
	return g.blocks(Kept)
}

// blocks consumes sub-blocks and their terminator, as many as the window has
// at a time.
func (g *gifFile) blocks(fate Fate) error {
	in := g.in
	for {
		w, err := in.Window()
		if err == nil && len(w) < 256 {
			w, err = in.Peek(256)
		}
		n, end := 0, false
		for !end && n < len(w) && n+1+int(w[n]) <= len(w) {
			end = w[n] == 0
			n += 1 + int(w[n])
			if err := in.Step(); err != nil {
				return err
			}
		}
		if n == 0 {
			if err != nil && err != io.EOF {
				return err
			}
			return in.Corrupt("the file ends within a sub-block")
		}
		if err := in.Take(int64(n), fate); err != nil || end {
			return err
		}
	}
}

// extension consumes an extension. Only what frames need is kept: their
// control, and the loop.
func (g *gifFile) extension() error {
	in, start := g.in, g.in.Offset()
	b, err := in.Need(3)
	if err != nil {
		return err
	}
	label, what := b[1], "extension"
	switch label {
	case gifControl:
		return g.hold()
	case gifComment:
		what = "comment"
	case gifPlainText:
		if b[2] != 12 { // some decoders skip the size that it must have
			return in.Corrupt("a plain text whose header has %d bytes", b[2])
		}
		what = "plain text"
	case gifApplication:
		if b[2] == 0 { // some decoders read on
			return in.Corrupt("an application extension without a name")
		}
		loop, err := g.loops()
		if err != nil || loop {
			return err
		}
		what = "application data"
	}
	fate := Kept
	if in.Sanitise {
		fate = Dropped
	}
	if err := in.Take(2, fate); err != nil {
		return err
	}
	if err := g.blocks(fate); err != nil {
		return err
	}
	in.Note(start, in.Offset()-start, what, fate)
	return nil
}

// hold consumes a control extension. With sanitising, it is written with the
// frame that it is for. A frame has at most one (GIF89a, 23): of several,
// decoders take the last, or join them.
func (g *gifFile) hold() error {
	in := g.in
	b, err := in.Need(8)
	if err != nil {
		return err
	}
	if b[2] != 4 || b[7] != 0 {
		return in.Corrupt("a control extension of %d bytes", b[2])
	}
	if g.controlled {
		return in.Corrupt("a second control extension for one frame")
	}
	g.controlled = true
	if !in.Sanitise {
		return in.Keep(8)
	}
	control := bytes.Clone(b)
	if next, err := in.Peek(9); err == nil && next[8] == gifImage {
		g.control = nil
		return in.Keep(8)
	}
	g.control = control
	return in.Drop(8)
}

// loops consumes an application extension that says how often the animation
// plays, in the only form that it can have, and once.
func (g *gifFile) loops() (bool, error) {
	in, start := g.in, g.in.Offset()
	b, err := in.Peek(19)
	if len(b) < 19 || b[2] != 11 || string(b[3:14]) != "NETSCAPE2.0" && string(b[3:14]) != "ANIMEXTS1.0" || b[14] != 3 || b[15] != 1 {
		if err == io.EOF {
			err = nil // for whoever reads on
		}
		return false, err
	}
	plain := append(bytes.Clone(b[:18]), 0)
	same, again, fate := bytes.Equal(b, plain), bytes.Equal(g.loop, plain), Kept
	if in.Sanitise && (!same || again) {
		fate = Dropped
	}
	g.loop = plain
	if err := in.Take(14, fate); err != nil {
		return true, err
	}
	if err := g.blocks(fate); err != nil {
		return true, err
	}
	if !same || again {
		in.Note(start, in.Offset()-start, "application data", fate)
	}
	if fate == Kept || again {
		return true, nil
	}
	return true, in.Emit(plain)
}
