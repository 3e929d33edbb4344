//! Several servers behind one backplane, whose links delay, drop and tear: to clients they are one.
#![allow(clippy::unwrap_used)]

mod backplane {
    mod audit;
    mod broken;
    mod delivery;
    mod down;
    mod failures;
    mod finish;
    mod kit;
    mod local;
    mod loss;
    mod lost_memory;
    mod node;
    mod nodes;
    mod once;
    mod replay;
    mod users;
    mod watching;
}
