//! Replicas that are behind.
