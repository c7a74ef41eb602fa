package egress

// MayDial is mayDial, whose table needs no network.
var MayDial = mayDial
