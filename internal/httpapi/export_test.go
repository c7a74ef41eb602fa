package httpapi

// DecodeCheck is decodeCheck, for tests.
var DecodeCheck = decodeCheck
