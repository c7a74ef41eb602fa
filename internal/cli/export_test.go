package cli

// Wait is wait.
var Wait = wait

// Quote is quote.
var Quote = quote
