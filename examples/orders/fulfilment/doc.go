// Package fulfilment brings an order from the shelf to the customer: a saga over five suppliers.
//
// It must not know who the suppliers are. The shop gives it its own; scripts/sagaproof gives it the worst.
package fulfilment
