// Package archtest holds no code: its tests are the architecture. They read
// the imports and declarations of every package of the module and fail, with
// the reason, when one breaks a rule of docs/ARCHITECTURE.md.
package archtest
