package mediatest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/jpeg"
	"slices"
)

// JPEG encodes a picture, with segments after SOI.
func JPEG(m image.Image, segments ...[]byte) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err) // a buffer takes everything
	}
	return WithSegments(b.Bytes(), segments...)
}

// WithSegments puts segments after a JPEG's SOI.
func WithSegments(file []byte, segments ...[]byte) []byte {
	return cat(file[:2], cat(segments...), file[2:])
}

// Segment is a JPEG segment.
func Segment(marker byte, data ...[]byte) []byte {
	d := cat(data...)
	return cat(binary.BigEndian.AppendUint16([]byte{0xFF, marker}, uint16(2+len(d))), d)
}

// JFIF is an APP0 segment with a thumbnail of a size.
func JFIF(w, h byte) []byte {
	return Segment(0xE0, []byte("JFIF\x00\x01\x02\x00\x00\x01\x00\x01"), []byte{w, h}, bytes.Repeat([]byte("thu"), int(w)*int(h)))
}

// ExifSegment is an APP1 segment.
func ExifSegment(mark string, orientation byte) []byte {
	return Segment(0xE1, []byte("Exif\x00\x00"), TIFF(mark, orientation))
}

// XMPSegment is an APP1 segment.
func XMPSegment(text string) []byte {
	return Segment(0xE1, []byte("http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta>"), []byte(text), []byte("</x:xmpmeta>"))
}

// ProfileSegments are the APP2 segments of a colour profile.
func ProfileSegments(profile []byte, size int) []byte {
	var out []byte
	n := (len(profile) + size - 1) / size
	i := 0
	for c := range slices.Chunk(profile, size) {
		i++
		out = append(out, Segment(0xE2, []byte("ICC_PROFILE\x00"), []byte{byte(i), byte(n)}, c)...)
	}
	return out
}

// WithPictures appends pictures to a JPEG and gives it the index of them
// (CIPA DC-007), with a gap of zeros before each.
func WithPictures(file []byte, gap int, further ...[]byte) []byte {
	le := binary.LittleEndian
	n := 1 + len(further)
	size := 4 + 8 + 2 + 3*12 + 4 + 16*n // of the data
	primary := len(file) + 4 + size
	base := 2 + 4 + 4 // of the TIFF header in the file
	mpf := []byte("MPF\x00II*\x00\x08\x00\x00\x00\x03\x00")
	entry := func(tag, kind uint16, count int, value []byte) {
		mpf = le.AppendUint16(le.AppendUint16(mpf, tag), kind)
		mpf = append(le.AppendUint32(mpf, uint32(count)), value...)
	}
	entry(0xB000, 7, 4, []byte("0100"))
	entry(0xB001, 4, 1, le.AppendUint32(nil, uint32(n)))
	entry(0xB002, 7, 16*n, le.AppendUint32(nil, 8+2+3*12+4))
	mpf = le.AppendUint32(mpf, 0)
	picture := func(attribute, size, at int) {
		mpf = le.AppendUint32(mpf, uint32(attribute))
		mpf = le.AppendUint32(le.AppendUint32(mpf, uint32(size)), uint32(at))
		mpf = le.AppendUint32(mpf, 0)
	}
	picture(0x20030000, primary, 0)
	at, tail := primary, []byte(nil)
	for _, f := range further {
		picture(0, len(f), at+gap-base)
		at += gap + len(f)
		tail = cat(tail, make([]byte, gap), f)
	}
	return append(WithSegments(file, Segment(0xE2, mpf)), tail...)
}

// SEFT is the trailer of Samsung's cameras with one block.
func SEFT(name, data string) []byte {
	le := binary.LittleEndian
	block := cat(le.AppendUint32([]byte{0, 0, 1, 0x0A}, uint32(len(name))), []byte(name), []byte(data))
	head := le.AppendUint32(le.AppendUint32([]byte("SEFH"), 101), 1)
	head = append(head, 0, 0, 1, 0x0A)
	head = le.AppendUint32(le.AppendUint32(head, uint32(len(block))), uint32(len(block)))
	return cat(block, head, le.AppendUint32(nil, uint32(len(head))), []byte("SEFT"))
}

// VRD is the trailer of Canon's software.
func VRD() []byte {
	data := bytes.Repeat([]byte("recipe"), 20)
	head := binary.BigEndian.AppendUint32([]byte("CANON OPTIONAL DATA\x00\x00\x01\x00\x00"), uint32(len(data)))
	return cat(head, data, append([]byte("CANON OPTIONAL DATA\x00"), make([]byte, 44)...))
}

// AFCP is a trailer of captions at an offset of the file.
func AFCP(at int) []byte {
	be := binary.BigEndian
	data := []byte("caption of the picture")
	head := append([]byte("AXS!\x01\x00\x00\x01\x00\x00\x00\x00"), "IPTC"...)
	head = be.AppendUint32(be.AppendUint32(head, uint32(len(data))), uint32(at+24))
	return cat(head, data, be.AppendUint32([]byte("AXS!"), uint32(at)), make([]byte, 4))
}

// JPEGs are honest files, all of which pass.
func JPEGs() []Sample {
	m := Picture(40, 24)
	plain := JPEG(m)
	profile := Profile(3000)
	gain := JPEG(Picture(8, 8), XMPSegment(`hdrgm:Version="1.0"`), ExifSegment("II", 6))
	out := []Sample{
		{Name: "plain", Bytes: plain, Plain: true},
		{Name: "one pixel", Bytes: JPEG(Picture(1, 1)), Plain: true},
		{Name: "grey", Bytes: JPEG(image.NewGray(image.Rect(0, 0, 17, 9))), Plain: true},
		{Name: "large", Bytes: JPEG(Picture(400, 300)), Plain: true},
		{Name: "progressive", Bytes: Progressive(32, 24), Plain: true},
		{Name: "restarts", Bytes: Restarts(32, 24, 2), Plain: true},
		{Name: "number of lines", Bytes: Lines(32, 24), Plain: true},
		{Name: "jfif", Bytes: JPEG(m, JFIF(0, 0)), Plain: true},
		{Name: "adobe", Bytes: JPEG(m, Segment(0xEE, []byte("Adobe\x00\x64\x00\x00\x00\x00\x01"))), Plain: true},
		{Name: "thumbnails", Bytes: JPEG(m, JFIF(3, 2), Segment(0xE0, []byte("JFXX\x00\x10"), Payload)), Secrets: [][]byte{Payload, []byte("thuthu")}},
		{Name: "profile", Bytes: JPEG(m, ProfileSegments(profile, 1000)), Profile: profile, Plain: true},
		{Name: "metadata", Profile: profile, Orientation: 8, Secrets: append(exifSecrets(), []byte("51,3.2N"), Payload),
			Bytes: JPEG(m, JFIF(0, 0), ExifSegment("II", 8), XMPSegment(`exif:GPSLatitude="51,3.2N"`), ProfileSegments(profile, 2999),
				Segment(0xED, []byte("Photoshop 3.0\x008BIM"), Payload), Segment(0xEB, []byte("JP\x00\x01"), Payload), Segment(0xE5, Payload),
				Segment(0xFE, Payload), Segment(0xE2, []byte("FPXR\x00"), Payload), Segment(0xE1, []byte("http://ns.adobe.com/xmp/extension/\x00"), Payload))},
		{Name: "fill bytes and garbage", Bytes: WithSegments(plain, []byte{0xFF, 0xFF}, Segment(0xFE, Payload), Payload), Secrets: [][]byte{Payload}},
		{Name: "longest comment", Bytes: JPEG(m, Segment(0xFE, make([]byte, 65533))), Secrets: [][]byte{make([]byte, 3000)}},
	}
	for mark := range Orders {
		for o := byte(0); o <= 8; o++ {
			s := Sample{Name: fmt.Sprintf("orientation %d %s", o, mark), Bytes: JPEG(m, ExifSegment(mark, o)), Secrets: exifSecrets()}
			if o > 1 {
				s.Orientation = o
			}
			out = append(out, s)
		}
	}
	tail := func(name string, file []byte, tail []byte) {
		out = append(out, Sample{Name: name, Bytes: append(slices.Clone(file), tail...), Secrets: [][]byte{tail}, Trailer: len(tail)})
	}
	movie := Movie()
	tail("motion photo", JPEG(m, XMPSegment(`GCamera:MotionPhoto="1"`)), movie)
	tail("samsung", plain, SEFT("Image_UTC_Data", "1700000000000"))
	tail("samsung motion photo", plain, SEFT("MotionPhoto_Data", string(movie)))
	tail("canon", plain, VRD())
	tail("afcp", plain, AFCP(len(plain)))
	tail("padding", plain, make([]byte, 100_000))
	tail("padding and movie", plain, cat(bytes.Repeat([]byte{0}, 77), movie))
	tail("gain map without an index", JPEG(m, XMPSegment(`hdrgm:Version="1.0"`)), gain)
	indexed := func(name string, gap int, further ...[]byte) {
		file := WithPictures(JPEG(m, ExifSegment("MM", 3)), gap, further...)
		n := gap*len(further) + len(cat(further...))
		out = append(out, Sample{Name: name, Bytes: file, Orientation: 3, Secrets: append(exifSecrets(), further...), Trailer: n})
	}
	indexed("gain map", 0, gain)
	indexed("three pictures", 0, gain, JPEG(Picture(16, 16), ExifSegment("II", 1)))
	indexed("pictures with gaps", 33, gain, JPEG(Picture(16, 16)))
	return out
}
