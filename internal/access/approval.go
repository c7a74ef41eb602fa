package access

import "strings"

// MayApprove reports whether approver may give the second admin's approval
// to what requester asked for. They must be Distinct, and neither may have
// made the other: a key approves neither its creator nor what its own
// descendants asked for. Each creator in the one's line is held against the
// other by owner, so that keys made out to other names do not turn one
// person into two. Two keys with a common creator may approve each other,
// since the first key makes those of every admin.
//
// keys are all there are, revoked and expired ones included; a line that
// cannot be followed through them counts against the approval.
//
// It says nothing of roles, of which May tells.
func MayApprove(keys []Key, approver, requester Principal) bool {
	if !Distinct(approver, requester) {
		return false
	}
	byID := make(map[string]Key, len(keys))
	for _, k := range keys {
		byID["key:"+k.ID] = k
	}
	return distinctFromLine(byID, requester, approver) && distinctFromLine(byID, approver, requester)
}

// distinctFromLine reports whether p is distinct from every creator in the
// line of heir.
func distinctFromLine(keys map[string]Key, p, heir Principal) bool {
	id := heir.ID
	for range len(keys) + 1 { // a line is no longer, unless it is a loop
		if strings.HasPrefix(id, "oidc:") {
			return true // nobody here made it
		}
		k, ok := keys[id]
		if !ok {
			return false
		}
		id = k.CreatedBy
		switch {
		case strings.HasPrefix(id, "oidc:"):
			_, subject, _ := strings.Cut(id, "|") // an issuer is a URL, which has none
			return Distinct(p, Principal{Owner: subject})
		case !strings.HasPrefix(id, "key:"):
			return true // the first start, or the operator of the machine
		case !Distinct(p, Principal{Owner: keys[id].Owner}):
			return false
		}
	}
	return false
}
