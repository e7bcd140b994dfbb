//! Programs whose number of round trips is known.
