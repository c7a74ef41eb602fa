package walk

// properties reads the sizes of pictures and whose they are.
func (m *meta) properties(b box, depth int) error {
	switch b.kind {
	case "ipco":
		if len(m.props) > 0 {
			return m.f.in.Corrupt("a second ipco box")
		}
		return m.propertyList(b, depth)
	case "ipma":
		return m.associations(b)
	}
	return m.f.keep(b)
}

// propertyList bounds every size that any picture could have. Properties are
// found by number: padding counts too, and vendors' stay as they are.
func (m *meta) propertyList(b box, depth int) error {
	f := m.f
	if depth > f.in.Limits.MaxDepth {
		return f.children(b.end, depth, f.ignore)
	}
	if err := f.in.Keep(b.head); err != nil {
		return err
	}
	for f.in.off < b.end {
		c, err := f.next(b.end)
		if err != nil {
			return err
		}
		if len(m.props) == maxProps {
			return &Reject{Code: TooLarge, Reason: "properties of pictures", Offset: f.in.off, Limit: maxProps, Actual: maxProps + 1}
		}
		s, err := m.property(c)
		if err != nil {
			return err
		}
		m.props = append(m.props, s)
	}
	return nil
}

func (m *meta) property(b box) (s pixels, err error) {
	f := m.f
	switch b.kind {
	case "free", "skip":
		return s, f.space(b)
	case "ispe":
		p, err := f.fields(b, 12)
		if err != nil {
			return s, err
		}
		s = pixels{int64(big.Uint32(p[4:])), int64(big.Uint32(p[8:]))}
		if err := f.in.Picture(s.w, s.h); err != nil {
			return s, err
		}
	case "irot", "imir":
		if b.payload() != 1 {
			return s, f.in.Corrupt("an orientation of %d bytes", b.payload())
		}
	case "colr":
		if n := b.payload(); n > f.in.Limits.MaxInflated {
			return s, &Reject{Code: TooLarge, Reason: "colour profile, in bytes", Offset: f.in.off, Limit: f.in.Limits.MaxInflated, Actual: n}
		}
	}
	return s, f.keep(b)
}

// associations says which properties are whose.
func (m *meta) associations(b box) error {
	f := m.f
	p, err := f.fields(b, 8)
	if err != nil {
		return err
	}
	wide, long := p[0] > 0, p[3]&1 != 0
	count := big.Uint32(p[4:])
	if err := f.in.Keep(b.head + 8); err != nil {
		return err
	}
	r := fieldReader{f: f, end: b.end}
	for range count {
		id := r.number(wide)
		if r.err != nil {
			return r.err
		}
		it, err := m.item(id)
		if err != nil {
			return err
		}
		for range r.uint(1) {
			var index uint64
			if long {
				index = r.uint(2) & 0x7fff
			} else {
				index = r.uint(1) & 0x7f
			}
			if index > uint64(len(m.props)) {
				return f.in.Corrupt("property %d of item %d does not exist", index, id)
			}
			if index > 0 && m.props[index-1].w > 0 {
				it.size = m.props[index-1]
			}
		}
		if r.err != nil {
			return r.err
		}
	}
	return r.close()
}
