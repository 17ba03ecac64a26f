//! repeater
