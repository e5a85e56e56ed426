/* SPDX-License-Identifier: MIT */
/*
 * How machnet.h looks in C#: as in C. Every parameter and result is blittable and has C's width, structs are C# structs of C's layout, pointers are
 * pointers of their own type (so handles cannot be mixed up), enums and constants are compiled in. Nothing is marshalled, so SWIG's wrapper in C
 * would only pass on what it gets: bindings/csharp/generate.sh lets the declarations name libmachnet's own functions and leaves the wrapper out,
 * and with it SWIG's helpers, which hand delegates to C.
 */
%csconst(1);
%nodefaultctor;
%nodefaultdtor;

%pragma(csharp) imclassclassmodifiers="internal static unsafe class"
%pragma(csharp) moduleclassmodifiers="internal static unsafe class"
%typemap(csclassmodifiers) enum SWIGTYPE "internal enum"

/* passed(C's type, C#'s type): goes through as it is. */
%define passed(CTYPE, CSTYPE)
%typemap(ctype)  CTYPE "$1_ltype"
%typemap(imtype) CTYPE "CSTYPE"
%typemap(cstype) CTYPE "CSTYPE"
%typemap(csin)   CTYPE "$csinput"
%typemap(csout, excode="") CTYPE { return $imcall; }
%typemap(in)     CTYPE "$1 = $input;"
%typemap(out)    CTYPE "$result = $1;"
%enddef

passed(int32_t, int)
passed(uint32_t, uint)
passed(int64_t, long)
passed(uint64_t, ulong)
passed(uint8_t *, byte*)
passed(uint64_t *, ulong*)
passed(const char *, byte*)
passed(char *, byte*)
passed(const void *, void*)
passed(void *, void*)

/* Members are properties that C# itself makes, in order: the fields behind them lie as C's do. */
%define member(CTYPE, CSTYPE)
%typemap(ctype)    CTYPE "void *"
%typemap(imtype)   CTYPE "CSTYPE"
%typemap(cstype)   CTYPE "CSTYPE"
%typemap(csin)     CTYPE "$csinput"
%typemap(csout)    CTYPE ""
%typemap(csvarin)  CTYPE " set;"
%typemap(csvarout) CTYPE " get;"
%enddef

member(uint8_t, byte)
member(uint16_t, ushort)
member(uint8_t [ANY], Bytes$1_dim0)
member(char [ANY], Bytes$1_dim0)
member(uint64_t [ANY], Words$1_dim0)
%typemap(csvarin)  int32_t, uint32_t, uint64_t, void * " set;"
%typemap(csvarout) int32_t, uint32_t, uint64_t, void * " get;"

%define structure(NAME, CSNAME)
passed(NAME *, CSNAME*)
passed(const NAME *, CSNAME*)
%rename(CSNAME) NAME;
%typemap(csclassmodifiers) struct NAME "[global::System.Runtime.InteropServices.StructLayout(global::System.Runtime.InteropServices.LayoutKind.Sequential)]\ninternal unsafe struct"
%typemap(csinterfaces) struct NAME ""
%typemap(csbody) struct NAME ""
%typemap(csdispose) struct NAME ""
%typemap(csdisposing, methodname="", methodmodifiers="", parameters="") struct NAME ""
%enddef

structure(machnet_error, NativeError)
structure(machnet_event, NativeEvent)
structure(machnet_address, NativeAddress)
structure(machnet_flow_info, NativeFlowInfo)
structure(machnet_message, NativeMessage)
structure(machnet_record, NativeRecord)
structure(machnet_view, NativeView)

%define handle(NAME, CSNAME)
passed(NAME *, CSNAME*)
passed(NAME **, CSNAME**)
%enddef

handle(machnet_options, NativeOptions)
handle(machnet_context, NativeContext)
handle(machnet_channel, NativeChannel)
