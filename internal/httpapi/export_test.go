package httpapi

// DecodeCheck is decodeCheck, for tests.
var DecodeCheck = decodeCheck

// KeepsBuffer reports whether the buffer of a body of n bytes is reused.
func KeepsBuffer(n int) bool { return !(&buffers{in: make([]byte, n)}).huge() }
