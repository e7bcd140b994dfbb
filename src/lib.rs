//! vmstation
