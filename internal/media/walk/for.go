package walk

// For returns the walker of a format; that of an unknown one refuses.
func For(f Format) Walker {
	switch f {
	case JPEG:
		return JPEGWalk
	case PNG:
		return PNGWalk
	case GIF:
		return GIFWalk
	case WebP:
		return WebPWalk
	case HEIF, MP4, QuickTime, M4A:
		return BMFFWalk
	case WebM:
		return WebMWalk
	case MP3:
		return MP3Walk
	case WAV:
		return WAVWalk
	case OGG:
		return OGGWalk
	case AAC:
		return AACWalk
	}
	return func(in *Input) (Info, error) { return Info{}, in.Mismatch("there is no walker for the format") }
}
