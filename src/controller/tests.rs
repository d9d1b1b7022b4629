//! What passes make of an API server and of AWS, one after the other.

mod crowded;
mod lab;
mod places;
mod remembered;
mod removal;
mod revocation;
mod trust;
