package postgres

// ScramVerifier lets tests send documents of their own.
var ScramVerifier = scramVerifier
