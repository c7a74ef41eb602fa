package config

import "time"

// Default returns the configuration of a node without a file: one machine,
// SQLite in ./gantry-data, and the policies of system.md section 4.
func Default() Config {
	return Config{
		Server: Server{
			Listen:        "127.0.0.1:8640",
			MaxBody:       1 << 20,
			ShutdownGrace: Duration(10 * time.Second),
		},
		DataDir:  "./gantry-data",
		Store:    Store{MaxConns: 8},
		Counters: Counters{MaxKeys: 5_000_000, SnapshotInterval: Duration(5 * time.Second)},
		Log:      Log{Level: "info", Format: "auto"},
		Audit:    Audit{Origin: "gantry.local/audit", CheckpointInterval: Duration(5 * time.Minute)},
		Access: Access{
			AuthFailures:   AuthFailures{Limit: 30, Window: Duration(5 * time.Minute)},
			KeysStaleAfter: Duration(15 * time.Minute),
		},
		RateLimit:   RateLimit{Policies: defaultPolicies(), ViolationsRetention: Duration(90 * day)},
		Idempotency: Idempotency{TTL: Duration(day)},
		Media:       Media{Sanitise: true, Unscanned: "accept", MaxSize: MediaSizes{Image: 10 << 20, Video: 100 << 20, Audio: 20 << 20}},
		Health:      Health{DiskFree: 15},
		Signals: Signals{Window: Duration(5 * time.Minute), ErrorPercent: 5, MinRequests: 20, Quiet: Duration(10 * time.Minute),
			ViolationsPerHour: 1000, AuthFailuresPerHour: 500},
		Incidents: Incidents{
			Escalation:    Escalation{P0: []Duration{Duration(10 * time.Minute), Duration(20 * time.Minute)}, P1: []Duration{Duration(30 * time.Minute), Duration(time.Hour)}},
			BusinessHours: BusinessHours{TimeZone: "UTC", Morning: "09:00", Days: []string{"mon", "tue", "wed", "thu", "fri"}},
		},
		Launch: Launch{Hooks: Hooks{
			Supabase: SupabaseHook{CountryField: "country", InviteField: "invite_code"},
			Firebase: FirebaseHook{JWKSURL: "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"},
		}},
	}
}

func defaultPolicies() map[string]Policy {
	const (
		min5 = 5 * time.Minute
		hour = time.Hour
	)
	// LOGIN counts a user per address: counted by user alone, anyone could
	// lock a victim out. The higher ceiling for the user stops a spread attack.
	login := policy(min5, 50, Rule{Scope: "user+ip", Limit: 10}, Rule{Scope: "ip", Limit: 30}, Rule{Scope: "device", Limit: 10})
	message := policy(hour, 100)
	message.Burst = 120
	return map[string]Policy{
		"LOGIN":          login,
		"MESSAGE_SEND":   message,
		"MEDIA_UPLOAD":   policy(hour, 20),
		"REPORT_SUBMIT":  policy(hour, 10),
		"DISPUTE_CREATE": policy(day, 5),
		"PAYOUT_REQUEST": policy(day, 3),
		"KYC_SUBMIT":     policy(day, 3),
		"PROFILE_UPDATE": policy(min5, 10),
		"SESSION_CREATE": policy(min5, 5, Rule{Scope: "ip", Limit: 30}),
		"CHAT_CREATE":    policy(hour, 50),
		"CALL_START":     policy(hour, 20),
		"CONTENT_CREATE": policy(hour, 30),
		"SIGNUP_RESERVE": policy(hour, 0, Rule{Scope: "ip", Limit: 10}, Rule{Scope: "device", Limit: 3}),
		// Wrong invite codes. Ten an hour leave room for typing errors, and none
		// for guessing.
		"INVITE_INVALID": policy(hour, 10, Rule{Scope: "ip", Limit: 10}, Rule{Scope: "device", Limit: 10}),
		"WAITLIST_JOIN":  policy(hour, 0, Rule{Scope: "ip", Limit: 10}, Rule{Scope: "device", Limit: 3}),
	}
}

func policy(window time.Duration, limit int64, rules ...Rule) Policy {
	return Policy{Window: Duration(window), Limit: limit, Rules: rules, OnFailure: "open"}
}
