//! MPEG transport streams (ISO/IEC 13818-1): packets, tables, PES, and both ways between bytes and
//! [`Unit`](crate::unit::Unit)s.

pub mod adts;
mod crc;
pub mod demux;
pub mod eit;
pub mod mux;
pub mod packet;
pub mod pes;
pub mod psi;
mod text;
