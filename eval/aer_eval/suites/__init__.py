"""Problem suites: what they are (definitions), where their problems come from, and the prompts made of them."""
