/* SPDX-License-Identifier: MIT */
/*
 * machnet.h for SWIG: `swig -<language> -Icapi/include bindings/swig/machnet.i`. csharp.i makes of it the P/Invoke layer of bindings/csharp; in the
 * other languages it is the plain wrapping: structs as objects, pointers as SWIG's own.
 */
%module machnet

%{
#include <machnet/machnet.h>
%}

%include <stdint.i>

#ifdef SWIGCSHARP
%include "csharp.i"
#else
/* What calls write through a pointer: new_machnet_token_pointer() makes a place for it, machnet_token_pointer_value() reads it. */
%include <cpointer.i>
%pointer_functions(uint64_t, machnet_token_pointer)
%pointer_functions(machnet_context *, machnet_context_pointer)
%pointer_functions(machnet_channel *, machnet_channel_pointer)
%pointer_functions(machnet_options *, machnet_options_pointer)
#endif

#ifdef SWIGRUBY
%rename("%(camelcase)s", %$isclass) ""; /* constants are capital there */
#endif

%include <machnet/machnet.h>
