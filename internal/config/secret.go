package config

import "log/slog"

// redacted stands for a secret wherever one is printed.
const redacted = "[secret]"

// Secret is a value that never shows itself: not in logs, errors, JSON, YAML
// or any fmt verb. The zero value is the empty secret.
type Secret struct {
	// A pointer, because fmt prints unexported fields of an enclosing struct
	// without asking their methods; of a pointer it prints the address only.
	v *string
}

// NewSecret returns a secret that holds value.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// Reveal returns the value. What calls it takes care that the value goes no
// further.
func (s Secret) Reveal() string {
	if s.v == nil {
		return ""
	}
	return *s.v
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.v == nil }

// Equal reports whether both hold the same value. It is not for deciding
// access: its time depends on the values.
func (s Secret) Equal(t Secret) bool { return s.Reveal() == t.Reveal() }

// String returns "[secret]", or nothing for the empty secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// GoString returns what String returns.
func (s Secret) GoString() string { return s.String() }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns what String returns; it serves JSON and text encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML returns what String returns.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }
