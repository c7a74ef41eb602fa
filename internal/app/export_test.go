package app

// CloseListener takes the socket away from under the server.
func (a *App) CloseListener() error { return a.listener.Close() }

// NotLocked is notLocked.
var NotLocked = notLocked
