"""How actors find each other, and how the calls between them travel. Knows no actor and no Ray."""
