package httpapi

import (
	"io"
	"net/http"
)

// DecodeCheck is decodeCheck, for tests.
var DecodeCheck = decodeCheck

// KeepsBuffer reports whether the buffer of a body of n bytes is reused.
func KeepsBuffer(n int) bool { return !(&buffers{in: make([]byte, n)}).huge() }

// Patient is the body of an upload, as handlers read it.
func Patient(w http.ResponseWriter, r *http.Request) io.Reader {
	return patient{r.Body, http.NewResponseController(w)}
}

// Steady is the content of an answer.
func Steady(w http.ResponseWriter) io.Writer { return steady{w, http.NewResponseController(w)} }
