"""The web page: the topic live, its monitor, contract, SQL, answers and proofs. Reads through the library and has no logic of its own."""
