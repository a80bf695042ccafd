/* The groups of cases, each a file of its own. A group runs in a process of its own or with others; `prompts` must come
 * before anything else that fetches an output. */

#ifndef CASES_H
#define CASES_H

/* How the plugin is opened, and what it does before the first load. */
void opening(void);
/* How long a prompt is. */
void prompts(void);
/* Buffers, capacities and sizes. */
void outputs(void);
/* Who may use which number. */
void handles(void);
/* Functions for streaming and for giving things back; only where there is a native library. */
void native_calls(void);
/* Streamed text as against computed text; likewise. */
void streaming(void);
/* Configurations and metadata, in and out; how a computation ends. */
void metadata(void);
/* Several turns, contexts and graphs. */
void turns(void);
/* Models as bytes and by name; what is refused. */
void loading(void);
/* Variables of the environment. */
void names(void);
/* What is logged without an engine, and how much. */
void log_lines(void);
/* Vectors instead of text. */
void embeddings(void);
/* Crowds on small stacks, and ends under a computation. */
void threads(void);
/* Memory that changes under a call. */
void hostile(void);
/* A host that mixes two ABIs. */
void mixed(void);
/* The end of the process and of the library. */
void ending(void);
/* The same text as the C library. */
void equal(void);
/* All functions by native tables; only where the host shows its runtime. */
void whole_calls(void);
/* A host of which nothing is known. */
void unknown(void);

#endif
