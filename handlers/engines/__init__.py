"""How a packaged model becomes something that computes: fetched, verified, loaded. Knows files and arrays, not HTTP."""
