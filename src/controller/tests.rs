//! What passes make of an API server and of AWS, one after the other.

mod crowded;
mod hand_back;
mod lab;
mod remembered;
mod removal;
mod revocation;
mod trust;
