package store_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"avalo.app/gantry/internal/audit"
	"avalo.app/gantry/internal/store"
	"avalo.app/gantry/internal/store/storetest"
)

// TestAuditSurvivesKill kills a process in the middle of its appends: the
// log must verify, hold every entry that was acknowledged, and go on.
func TestAuditSurvivesKill(t *testing.T) {
	if url := os.Getenv("GANTRY_TEST_AUDIT_URL"); url != "" {
		appendUntilKilled(t, url, os.Getenv("GANTRY_TEST_AUDIT_KEY"))
		return
	}
	secret, vkey := newKey(t)
	storetest.EachURL(t, func(t *testing.T, url string) {
		db := openLog(t, url, secret)
		for round := range 5 {
			since := checkpointOf(t, db)
			acked := killedAfter(t, url, secret, 3+7*round)
			rep := verify(t, db, audit.Options{Key: vkey, Since: since})
			if !rep.OK() || rep.Size <= acked {
				t.Fatalf("round %d: size %d after entry %d was acknowledged; findings:\n%s", round, rep.Size, acked, lines(rep))
			}
			fill(t, db, int(rep.Size)+1)
		}
	})
}

// killedAfter starts a process that appends, kills it once it has
// acknowledged n entries, and returns the last index acknowledged.
func killedAfter(t *testing.T, url, secret string, n int) (acked int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAuditSurvivesKill$")
	cmd.Env = append(os.Environ(), "GANTRY_TEST_AUDIT_URL="+url, "GANTRY_TEST_AUDIT_KEY="+secret)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	seen := 0
	for lines.Scan() {
		i, err := strconv.ParseInt(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("the writer says %q", lines.Text())
		}
		acked = i
		if seen++; seen == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed: that is its error
	if seen < n {
		t.Fatalf("the writer stopped by itself after %d entries", seen)
	}
	return acked
}

func appendUntilKilled(t *testing.T, url, secret string) {
	db, err := store.Open(t.Context(), store.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.UseAuditKey(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	for {
		i, err := db.RecordAudit(t.Context(), entryN(0))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(i)
	}
}
