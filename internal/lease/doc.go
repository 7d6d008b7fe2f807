// Package lease lets one of several processes own something for a while, by a record that expires.
//
// A [Lease] is a record of the store with a time to live, kept by the backend's clock, that names its holder. Holding it
// is no proof of being alone: a holder may be stopped for long and go on without having noticed. So each lease has an
// epoch, the revision of its record when it was acquired, which grows from holder to holder; whoever writes on the
// strength of a lease has the store check something that the next holder changes first.
//
// A [Member] shares a number of leases fairly with the other members of its group.
//
// The package knows the records of the store. It does not know what is leased.
package lease
