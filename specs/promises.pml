/* A promise is an assertion with a name: Spin says which one was broken. */
#define HOLDS(promise, condition) promise = (condition); assert(promise)
