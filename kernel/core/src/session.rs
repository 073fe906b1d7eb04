//! A session: one attach to a server by one user, and the function that every request on its files goes through.
