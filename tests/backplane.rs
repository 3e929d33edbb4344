//! Several servers with one backplane, whose links delay and drop messages and break. To clients they are one server.
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
