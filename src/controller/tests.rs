//! What passes make of an API server and of AWS, one after the other.

mod brake;
mod crowded;
mod guardrails;
mod hand_back;
mod home;
mod lab;
mod places;
mod quotes;
mod remembered;
mod removal;
mod restrictions;
mod revocation;
mod trust;
mod unreadable;
