//! A real Kubernetes control plane and an AWS that enforces policies, as child processes on the loopback interface, for
//! tests, benchmarks and the demo. Nothing is mocked: etcd, kube-apiserver, kubectl and Helm are built from their own
//! sources, the AWS CLI comes from PyPI, and the AWS simulator verifies signatures and evaluates policies.
//!
//! ```text
//! tools ─────────► paths of binaries, each built once into a cache of the user's
//! sandbox ───────► a temporary folder and a process group, both gone when their owner is, however it ends
//!   ├─ control_plane   etcd + kube-apiserver (+ kube-controller-manager), kubectl, helm, audit of writes
//!   ├─ aws_sim         the AWS simulator with its control endpoints, and the AWS CLI against it
//!   ├─ operator        the operator's binary as a child process
//!   ├─ api_gate        a way to the API server that can be disturbed: writes held, watches broken off, answers cut
//!   ├─ aws_gate        a way to the AWS simulator on which the list of an account's entities may come in part
//!   └─ siege           connections that ask a server for nothing and do not go
//! cluster ───────► Testbed: all of them in one sandbox, with helpers that wait and explain
//!   └─ charts          the project's own charts, installed with Helm
//! ```
//!
//! Servers outlive the tokio runtime that started them, so a [`Testbed`] may live in a `static` that tests with a runtime
//! each share: take a fresh [`ControlPlane::client`] in each test.

pub mod api_gate;
pub mod audit;
pub mod aws_calls;
pub mod aws_gate;
pub mod aws_sim;
pub mod charts;
pub mod cluster;
pub mod command;
pub mod control_plane;
pub mod http;
pub mod operator;
pub mod sandbox;
pub mod siege;
pub mod tools;
pub mod wait;

pub use api_gate::ApiGate;
pub use audit::Write;
pub use aws_calls::Call;
pub use aws_gate::{AwsGate, Shown};
pub use aws_sim::{AwsSim, Credentials};
pub use cluster::{Testbed, TestbedOptions};
pub use command::run;
pub use control_plane::{ControlPlane, ControlPlaneOptions};
pub use operator::Operator;
pub use sandbox::Sandbox;
pub use siege::Siege;
pub use tools::Tool;
pub use wait::{Seen, wait_for, wait_for_absence, wait_for_object};
