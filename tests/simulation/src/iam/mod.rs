//! IAM of any number of accounts, in memory.
