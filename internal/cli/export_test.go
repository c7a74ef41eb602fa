package cli

// Wait is wait.
var Wait = wait
