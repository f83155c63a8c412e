//! The parts of the measuring tools: fixed workloads, an HTTP/1.1 client on one thread, and a null server.
//!
//! `loadgen` drives a server with [`workload`] bodies through [`drive`]; `nullserver` is [`null`], the
//! ceiling that HTTP itself sets. `run.py` starts both and prints the table.

pub mod body;
pub mod connection;
pub mod drive;
pub mod exposition;
pub mod null;
pub mod page;
pub mod report;
pub mod request;
pub mod response;
pub mod workload;
