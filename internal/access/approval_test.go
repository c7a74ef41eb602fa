package access_test

import (
	"testing"

	"avalo.app/gantry/internal/access"
)

func TestMayApprove(t *testing.T) {
	key := func(id, owner, by string) access.Key {
		return access.Key{ID: id, Role: access.Admin, Owner: owner, CreatedBy: by}
	}
	keys := []access.Key{
		key("boot", "bootstrap", "system"),
		key("ana", "Ana", "key:boot"),
		key("ben", "Ben", "key:boot"),
		key("cy", "Cy", "key:ana"),               // made by Ana
		key("dee", "Dee", "key:cy"),              // and by that one
		key("eva", "Eva", "oidc:https://id|ana"), // made by Ana as she signs in
		key("pipe", "Pia", "oidc:https://id|auth0|7"),
		key("op", "Op", "cli:root"),
		key("loop1", "L1", "key:loop2"), key("loop2", "L2", "key:loop1"),
		key("orphan", "Orphan", "key:gone"),
		key("nobody", "", "key:boot"),
		key("heir", "Heir", "key:nobody"),
	}
	who := func(id string) access.Principal {
		for _, k := range keys {
			if k.ID == id {
				return access.Principal{ID: "key:" + id, Role: k.Role, Owner: k.Owner, KeyID: id}
			}
		}
		return access.Principal{ID: "oidc:https://id|" + id, Role: access.Admin, Owner: id}
	}
	for _, tt := range []struct {
		a, b string
		want bool // in either direction
	}{
		{"ana", "ben", true},    // siblings
		{"ana", "ana", false},   // oneself
		{"oidc-x", "ben", true}, // two ways to sign in
		{"oidc-x", "oidc-y", true},
		{"boot", "ana", false}, // creator and key
		{"ana", "cy", false},
		{"ana", "dee", false}, // at one remove
		{"boot", "dee", false},
		{"ben", "dee", true},
		{"ana", "eva", false}, // the creator's other credential
		{"cy", "eva", true},
		{"ben", "eva", true},
		{"auth0|7", "pipe", false}, // a subject with the separator in it
		{"7", "pipe", true},
		{"op", "ana", true},
		{"op", "root", true},     // who has the machine has no principal
		{"loop1", "ben", false},  // a store that was tampered with
		{"orphan", "ben", false}, // a line that ends in nothing
		{"heir", "ben", false},   // made by nobody knows whom
		{"nobody", "ben", false},
	} {
		if a, b := who(tt.a), who(tt.b); access.MayApprove(keys, a, b) != tt.want || access.MayApprove(keys, b, a) != tt.want {
			t.Errorf("%s and %s: want %v", tt.a, tt.b, tt.want)
		}
	}
	stranger := access.Principal{ID: "key:unknown", Role: access.Admin, Owner: "X"}
	if access.MayApprove(keys, stranger, who("ben")) {
		t.Error("a key that is not in the table approves")
	}
	if access.MayApprove(keys, access.Principal{ID: "public"}, who("ben")) {
		t.Error("nobody approves")
	}
}
