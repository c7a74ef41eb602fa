package httpapi

import (
	"fmt"
	"math"
	"time"

	"avalo.app/gantry/internal/health"
)

// What a bar is drawn with: its pitch and its full height, in units of the
// picture.
const (
	barPitch = 8
	barFull  = 32
	// barLeast is the height of a day that was all down: it must be seen.
	barLeast = 6
)

// history draws the last days of a component, and says them in words. A day
// without a measurement counts for nothing.
func (p *statusPart) history(days map[string]health.Day, now time.Time) {
	var up, all int64
	measured, worst, worstDay := 0, 2.0, time.Time{}
	for i := range health.UptimeDays {
		at := now.UTC().AddDate(0, 0, i+1-health.UptimeDays)
		d := days[health.DayOf(at)]
		share, ok := d.Uptime()
		if ok {
			measured++
			up, all = up+d.Up+d.Degraded, all+d.Up+d.Degraded+d.Down
			if share < worst {
				worst, worstDay = share, at
			}
		}
		p.Bars = append(p.Bars, bar(i, at, d, share, ok))
	}
	if measured == 0 {
		p.Summary = "Not measured yet"
		return
	}
	p.Uptime = percent(up, all)
	p.Summary = fmt.Sprintf("Measured on %d of %d days", measured, health.UptimeDays)
	if worst < 1 {
		p.Summary += fmt.Sprintf("; the worst was %s with %s", worstDay.Format("2 January"), share(worst))
	}
}

func bar(i int, at time.Time, d health.Day, up float64, ok bool) statusBar {
	b := statusBar{X: i * barPitch, Height: barFull, Class: "good", Text: at.Format("2 January") + ": "}
	switch {
	case !ok && d.Maintenance > 0:
		b.Class, b.Text, b.Height = "none", b.Text+"in maintenance", barLeast
	case !ok:
		b.Class, b.Text, b.Height = "none", b.Text+"not measured", barLeast
	case d.Down > 0:
		b.Class, b.Text = "bad", b.Text+share(up)+" up"
		b.Height = max(barLeast, int(float64(barFull)*up*0.8))
	case d.Degraded > 0:
		b.Class, b.Text = "fair", fmt.Sprintf("%s100 %% up, %s of it degraded", b.Text, percent(d.Degraded, d.Up+d.Degraded))
	default:
		b.Text += "100 % up"
	}
	b.Y = barFull - b.Height
	return b
}

// percent is a share in two decimals, rounded down: what was down once is not
// 100 %.
func percent(part, whole int64) string { return share(float64(part) / float64(whole)) }

func share(f float64) string {
	if f == 1 {
		return "100 %"
	}
	return fmt.Sprintf("%.2f %%", math.Floor(f*1e4)/100)
}
