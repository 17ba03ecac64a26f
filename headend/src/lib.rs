//! headend
