package access

// IssuerOf is issuerOf, for its fuzz target.
var IssuerOf = issuerOf
