//! Several servers behind one backplane, whose links delay, drop and tear: to clients they are one.
#![allow(clippy::unwrap_used)]

mod backplane {
    mod broken;
    mod delivery;
    mod failures;
    mod finish;
    mod kit;
    mod loss;
    mod lost_memory;
    mod node;
    mod replay;
    mod watching;
}
