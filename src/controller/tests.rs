//! What passes make of an API server and of AWS, one after the other.

mod lab;
mod remembered;
mod revocation;
mod trust;
