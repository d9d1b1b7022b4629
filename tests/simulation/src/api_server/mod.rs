//! As much of an API server as the operator uses, in memory.
