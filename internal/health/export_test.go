package health

// Known is how many results the monitor has in memory.
func (m *Monitor) Known() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.results)
}
