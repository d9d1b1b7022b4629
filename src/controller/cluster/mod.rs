//! What the API server has: the stores that the watches fill, what depends on what in them, and the queues of those whom a change wakes.

pub mod config_maps;
pub mod index;
pub mod kind;
pub mod queue;
pub mod relations;
pub mod secrets;
pub mod stores;
