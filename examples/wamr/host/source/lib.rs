//! Empty: the package exists for its one dependency, the source of WAMR.
