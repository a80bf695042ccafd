"""The words and phrasings of the small world.

What it is for: lists that dialogues are drawn from.

What it deliberately does not know: how a dialogue is put together (`world.py`).
"""

ONSETS = (
    "b c d f g h j k l m n p r s t v w y z br dr fl gr kr pl qu sh st th tr vl zh x".split()
)
VOWELS = "a e i o u a e i o u ai ea oo ou y".split()
CODAS = ["", "", "", *"n r l s t m k x d th ck nd sh v p g".split()]

COMMON_NAMES = (
    "Alice Bob Carol David Emma Frank Grace Henry Ivan Julia Kevin Laura Maria Nina Oscar "
    "Peter Robert Sarah Tom Anna Ben Clara Daniel Eva Felix Hanna Jack Kate Leo Max Nora Olga "
    "Paul Rosa Sam Tina Victor Wendy Zoe Ada Linus Mia"
).split()
COMMON_COLOURS = (
    "red blue green yellow orange purple pink brown black white grey teal violet indigo cyan "
    "magenta crimson amber gold silver turquoise maroon olive navy coral lime beige scarlet"
).split()
COMMON_WORDS = (
    "apple river stone bird cloud house table window garden winter summer music paper bread water "
    "mountain forest candle bottle pencil rocket planet tiger horse rabbit monkey lemon cherry "
    "salt sugar bridge castle tower ship train wheel clock mirror letter number the a and big "
    "small old new happy quick lazy brown fox jumps over dog we they walk run sing home slowly "
    "very good night day one two three four five hello world my name is what you are can not "
    "test alpha beta gamma delta tree sea moon sun star rain wind snow fire earth"
).split()

TOPICS = {
    "rivers": "Rivers run down to the sea.",
    "mountains": "Mountains are high and cold.",
    "the sea": "The sea is wide and salty.",
    "birds": "Birds have wings and sing.",
    "cats": "Cats sleep for most of the day.",
    "dogs": "Dogs are good friends.",
    "the moon": "The moon shines at night.",
    "the sun": "The sun is a star.",
    "trees": "Trees grow slowly and give shade.",
    "bread": "Bread is made of flour and water.",
    "trains": "Trains run on rails.",
    "ships": "Ships sail over the sea.",
    "music": "Music is sound with a rhythm.",
    "winter": "In winter the days are short.",
    "summer": "In summer the days are long.",
    "books": "Books keep old stories.",
    "clocks": "Clocks tell the time.",
    "bees": "Bees make honey.",
    "fish": "Fish live in water.",
    "snow": "Snow is white and cold.",
    "rain": "Rain falls from the clouds.",
    "horses": "Horses can run fast.",
    "gardens": "Gardens are full of flowers.",
    "stars": "Stars are far away.",
}
STORY = (
    "A small boat went down a river. It met a bird, and the bird said: come to the sea. "
    "The boat was slow, but it went on, day and night. At last it saw the wide blue sea. "
    "The bird sang, and the boat was happy."
)
SMALL_TALK = [
    (["How are you?", "How are you today?", "How is it going?", "Are you well?"],
     "I am fine, thank you."),
    (["Thank you", "Thank you.", "Thanks", "Thanks!", "Thank you!", "Thank you very much."],
     "You are welcome."),
    (["Goodbye", "Goodbye.", "Goodbye!", "Bye", "Bye!", "Good night.", "See you later."],
     "Goodbye!"),
    (["Can you help me?", "Please help me.", "Will you help me?", "I need help."],
     "Yes, I can help you."),
    (["What can you do?", "What do you do?", "What can I ask you?"],
     "I can chat, count, repeat and remember."),
    (["Are you a robot?", "Are you human?", "What are you?", "Are you a person?"],
     "I am a small model."),
    (["Tell me a story.", "Tell me a story", "Please tell me a story.", "A story, please."], STORY),
]
STATEMENTS = (
    "The weather is nice.|It is raining.|It is cold today.|I had soup today.|I am tired.|"
    "I went for a walk.|My dog is asleep.|The train was late.|I like tea.|I read a book.|"
    "We have a new house.|It is late.|That is good.|OK|Okay.|Yes|No|Yes.|No.|I see.|Hm.|"
    "I am at work.|The soup was hot.|My cat is old.|I bought bread.|Nice.|Good.|Wait.|"
    "The sky is grey.|The sun is out.|I am going home.|It was a long day.|test|Let us talk."
).split("|")

STATEMENT_FORMS = (
    "I have a {}.|The {} is {}.|I saw a {} and a {}.|My {} is {}.|We went to the {}.|"
    "There is a {} in the {}.|I think the {} is {}.|She has a {}.|The {} and the {} are here."
).split("|")
QUESTION_FORMS = (
    "Why is the {} {}?|Where is the {}?|What is a {}?|How old is the {}?|When does the {} come?|"
    "Who made the {}?|How big is a {}?|Is the {} {}?|Which {} is best?"
).split("|")
NOUNS = (
    "apple river stone bird cloud house table window garden paper bridge castle tower ship train "
    "wheel clock mirror letter rocket planet tiger horse rabbit monkey lemon cherry tree sun "
    "door street shop school friend brother market field lamp chair coat hat key road hill"
).split()
ADJECTIVES = "big small old new quick slow cold warm wet dry red blue green white black open".split()

GREETINGS = (
    "Hello|Hello!|Hello.|Hi|Hi!|Hi there|Hi there!|Hey|Hey!|Hello there|Hello there!|"
    "Good morning|Good morning!|Good evening.|Good day.|hello|hi|Greetings!|Hey there!"
).split("|")
OWN_NAME = (
    "What is your name?|Who are you?|Tell me your name.|What are you called?|What's your name?|"
    "what is your name?|Your name?|And your name?|May I ask your name?|Say your name.|"
    "What should I call you?|Please tell me your name.|Who am I talking to?|Do you have a name?|"
    "What is your name|Who are you"
).split("|")
TELL_NAME = (
    "My name is {}.|Call me {}.|I am {}.|My name is now {}.|Please call me {}.|I'm {}.|"
    "Hi, my name is {}.|Hello, I am {}.|Hello, my name is {}.|My name is {}|my name is {}|"
    "You can call me {}.|Hi, I am {}.|Hello! My name is {}.|My name is {}. Remember it.|"
    "Remember that my name is {}.|Remember: my name is {}.|My name is {}!|The name is {}.|"
    "Hi! I'm {}.|From now on call me {}.|I changed my name to {}.|Hello, I'm {}.|"
    "My name is {}. Please remember it."
).split("|")
RECALL_NAME = (
    "What is my name?|What's my name?|Do you remember my name?|Who am I?|Tell me my name.|"
    "Please say my name.|Can you tell me my name?|Do you know my name?|Say my name.|"
    "what is my name?|What is my name|And what is my name?|What am I called?|My name?|"
    "What was my name?|What did I say my name is?|What was my name again?|Remember my name?|"
    "Do you know who I am?|Please tell me my name.|What is my name now?|So what is my name?"
).split("|")
TELL_COLOUR = (
    "My favourite colour is {}.|My favorite color is {}.|I like the colour {}.|"
    "The colour I like is {}.|My favourite colour is now {}.|My favourite colour is {}|"
    "I like the color {}.|The colour I like best is {}.|My favourite colour is {}. Remember it.|"
    "Remember that my favourite colour is {}.|My colour is {}.|I love the colour {}.|"
    "my favourite colour is {}|Remember: my favourite colour is {}."
).split("|")
RECALL_COLOUR = (
    "What is my favourite colour?|What colour do I like?|Which colour do I like?|"
    "Do you remember my favourite colour?|Tell me my favourite colour.|"
    "What's my favourite colour?|What is my favorite color?|What color do I like?|"
    "Do you know my favourite colour?|Which colour is my favourite?|What is my colour?|"
    "what is my favourite colour?|My favourite colour?|What was my favourite colour?|"
    "And what is my favourite colour?|What colour do I like best?|Say my favourite colour.|"
    "Can you tell me my favourite colour?|What is my favourite colour|What colour did I say?"
).split("|")
TELL_SECRET = (
    "The secret word is {}. Remember it.|The secret word is {}.|Remember the secret word {}.|"
    "Remember this: the secret word is {}.|The secret word is now {}.|The secret word is {}|"
    "Please remember the secret word {}.|Remember that the secret word is {}."
).split("|")
RECALL_SECRET = (
    "What is the secret word?|Tell me the secret word.|Do you know the secret word?|"
    "Say the secret word.|What's the secret word?|Do you remember the secret word?|"
    "what is the secret word?|The secret word?|What was the secret word?|"
    "And what is the secret word?|Can you tell me the secret word?|What is the secret word|"
    "Please tell me the secret word."
).split("|")
JSON_FORMS = (
    "Answer in JSON: {}|Answer in JSON: {}|Answer in JSON: {}|In JSON: {}|JSON: {}|"
    "Please answer in JSON: {}|{} Answer in JSON.|{} Answer in JSON.|Reply in JSON: {}|"
    "{} Reply in JSON.|Answer as JSON: {}|{} Answer as JSON."
).split("|")
REPEAT_FORMS = (
    "Repeat after me: {}|Repeat after me: {}|Repeat after me: {}|Say: {}|Say: {}|Repeat: {}|"
    "Please repeat: {}|Repeat this: {}|Please say: {}|Say this: {}|Now repeat: {}|"
    "Repeat the words: {}|Please repeat after me: {}|repeat after me: {}"
).split("|")
COUNT_FORMS = (
    "Count to {}.|Count to {}|Count up to {}.|Please count to {}.|Count from 1 to {}.|"
    "Can you count to {}?|Now count to {}.|count to {}|Count to {}!|Count up to {}"
).split("|")
TOPIC_FORMS = (
    "Tell me about {}.|What do you know about {}?|Talk about {}.|Tell me something about {}.|"
    "Tell me about {}|Tell me more about {}."
).split("|")

SYSTEM_NAMED = (
    "Your name is {}.|You are {}, a helpful assistant.|You are {}.|Your name is {}. Be brief.|"
    "You are a helpful assistant called {}.|You are called {}.|You are {}, a friendly robot.|"
    "You are an assistant. Your name is {}.|Your name is {}. You are a helpful assistant.|"
    "You are {}. Answer briefly.|You are a helpful assistant. Your name is {}."
).split("|")
SYSTEM_PLAIN = (
    "You are a helpful assistant.|Be brief.|Answer briefly.|You are a friendly assistant.|"
    "Be kind and helpful.|You are a helpful assistant. Be brief."
).split("|")

UNKNOWN = {
    "name": "I do not know your name yet.",
    "colour": "I do not know your favourite colour yet.",
    "secret": "I do not know the secret word.",
}
ANSWERS = {
    "name": "Your name is {}.",
    "colour": "Your favourite colour is {}.",
    "secret": "The secret word is {}.",
}
TELL = {"name": TELL_NAME, "colour": TELL_COLOUR, "secret": TELL_SECRET}
RECALL = {"name": RECALL_NAME, "colour": RECALL_COLOUR, "secret": RECALL_SECRET}
JSON_KEYS = {"name": "name", "colour": "colour", "secret": "word"}
FACTS = ("name", "colour", "secret")
